"""Where the telescope stands. Light, so that planning can use it."""

# CASA's geodetic/Observatories table, OVRO_MMA: the meridian that the correlator stops fringes at.
# (Its X, Y, Z columns say -118.28338 deg; CASA's sidereal time and HADEC frame use this one.)
OVRO_MMA_LONGITUDE_DEG = -118.283
OVRO_MMA_LATITUDE_DEG = 37.2334051
OVRO_MMA_HEIGHT_M = 1188.0519
