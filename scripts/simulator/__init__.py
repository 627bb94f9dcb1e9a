"""Simulated raw DSA-110 observations with known truth.

The simulator shares no code with the workflow's library, because its truth judges that library.
"""

from astropy.utils import iers

# Earth orientation comes from the installed astropy-iers-data, whatever the network.
iers.conf.auto_download = False
