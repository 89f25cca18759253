"""The page of `autolog ui`: a server for one user's own browser, with the extra `autolog-ml[ui]`.

Nothing else in autolog imports this package, but the command and `autolog.ui()`.
"""
