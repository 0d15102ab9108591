"""The SIP and audio engine in a child process. The only home of pjsua2."""
