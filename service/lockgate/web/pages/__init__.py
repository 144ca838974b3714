"""The few pages for people: the way in and out, and what waits for them. HTML without scripts; it decides nothing."""
