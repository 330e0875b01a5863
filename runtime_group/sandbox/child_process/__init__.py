"""What runs inside a sandbox process; started by ``start.py``, never imported by the worker.

The files of this folder import each other, the standard library and their one engine, so that a
process is up in about a tenth of a second. Only ``template.py`` reads xworkflow: its renderer.
"""
