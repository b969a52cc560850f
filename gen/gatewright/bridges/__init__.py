"""LoadedCell -> layers, exports and weights of other libraries; one door per library.

Why a bridge begins with a loaded cell: it is a user of the package, like any other program.
"""
