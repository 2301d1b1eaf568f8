"""What can be asked of a cluster: functions that make `Call`s and `Steps`, and do no IO."""
