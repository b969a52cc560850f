"""LoadedCell -> layers of other libraries, in their conventions; one door per library.

Why a bridge begins with a loaded cell: it is a user of the package, like any other program.
"""
