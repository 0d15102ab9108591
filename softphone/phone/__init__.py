"""The phone itself: hook, keypad, lines, display, as plain state. No Qt, no pjsua2."""
