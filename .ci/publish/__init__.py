"""What a release is made of, and how it is checked: a module for each step of `make release`. None is part of the package."""
