"""Floor 6: functions that users call."""
