"""Moving in: data that DVC or git-lfs kept becomes artifacts; what they left is read, and never deleted unasked."""
