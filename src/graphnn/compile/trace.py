Trace = trace = None
