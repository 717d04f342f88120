"""New models: verified by TUF, tried on this very CPU, swapped in between two trucks, undoable.

`keeper.py` tells the story; the others are its parts.
"""
