"""HDFS, by its own protocol and over HTTP: ``files`` is what both are asked, ``transport`` makes a transport of it."""
