"""Origins in every kind of store: what ``import-url`` reads, whatever it is called.

They use connections, credentials and time-outs of the transports, which know only keys of ours.
"""
