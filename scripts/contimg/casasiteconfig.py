"""CASA's site configuration: data from the casadata package, no network, no log file.

`nologfile` is obeyed by CASA's own shell only; casatasks opens `logfile` whatever it says.
"""

import os

import casadata

measurespath = casadata.datapath
datapath = [casadata.datapath]
rundata = casadata.datapath
measures_auto_update = False
data_auto_update = False
logfile = os.devnull
nologfile = True
log2term = True
nogui = True
agg = True
telemetry_enabled = False
crashreporter_enabled = False
