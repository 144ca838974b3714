"""The process that works in the background, `lockgate deliver`: jobs that follow decisions, never in the path of one.

May be imported, by the command line alone: `build` (every job and every executor, wired) and `worker` (the loop). A job
(`job`) is written in the room whose work it does, which knows nothing of the loop.
"""
