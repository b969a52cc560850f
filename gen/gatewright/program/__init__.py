"""Cell -> Programs: lower a cell, derive its reverse, split both into sections and stages."""
