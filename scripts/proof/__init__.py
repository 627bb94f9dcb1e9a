"""The proof of the search for extreme scattering events: it meets light curves of known truth.

The truth is the simulator's (`simulator.backgrounds`, `simulator.lenses`), what is judged is the
library's (`contimg.ese_search`, `contimg.false_alarm`). Nothing here is used to reduce data.
"""
