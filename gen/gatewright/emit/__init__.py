"""Programs -> Source -> files: print generated code, write it whole, tell whether it is fresh."""
