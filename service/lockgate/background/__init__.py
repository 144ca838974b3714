"""The process that works in the background, `lockgate deliver`: jobs that follow decisions, never in the path of one.

May be imported: `worker` (the loop, and what a job is), `build` (every job and every executor, wired).
"""
