"""What every storage provider promises, told once and run on each of them.

At two levels: through SessionManager, as services see it, and on the StorageProvider protocol itself. A file is an
operation. What only one database can get wrong is tested elsewhere.
"""
