"""The kinds of schedules, one file each; `core/schedule.py` asks them."""
