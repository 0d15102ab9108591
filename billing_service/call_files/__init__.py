"""Files of calls, as Tollbell and other exchanges write them: a module per format, read line by line.

A line becomes a call, a call event, or the reason why it is neither; a damaged one never stops the file.
"""
