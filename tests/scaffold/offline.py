"""``unshare -rn python offline.py COMMAND…``: the command on a machine that has no network but itself.

A new network namespace has a loopback device that is down; launchers of several processes and notebook kernels talk over it.
"""

import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS = 0x8914
IFF_UP_LOOPBACK_RUNNING = 0x49

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_LOOPBACK_RUNNING))
os.execvp(sys.argv[1], sys.argv[1:])
