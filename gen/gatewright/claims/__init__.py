"""Claims: prove, refute or leave undecided every statement of how one cell relates to another."""
