"""A release: what publish/RELEASE/ holds, and the lists in it that programs read.

publish/RELEASE/products.json names every product of the release (housekeeping reads it: what it
names is never removed)::

    {"release": "NAME", "dates": ["2025-10-01", ...],
     "products": [{"path": "images/2025-10-01/2025-10-01T15:25:35.pbcor.fits",
                   "date": "2025-10-01", "rule": "correct_primary_beam",
                   "digest": "...", "sha256": "...", "bytes": 123}, ...]}

`path` is relative to the working directory, with `/`, and the same below publish/RELEASE/. A
calibration table is a directory: its `sha256` and `bytes` are null (SHA256SUMS has its files), and
everything below `path` belongs to it. `digest` is of the values. Tables that a date borrows are
listed under their own path and date. `date` is null for what belongs to no date.

raw.json lists the raw files in the same way, by `name`, `date`, `group`, `bytes` and `sha256`; no
copy of them is in the release. Measurement Sets are in neither list.
"""
