"""Server and worker for one machine: finding, starting, sharing and stopping them.

Imported lazily, by the client's runner and the commands alone; nothing here is needed to reach a
server that somebody else runs.
"""
