"""Unstir takes a finished mix apart.

>>> import unstir
>>> unstir.__version__
'0.1.0'
"""

__version__ = "0.1.0"
