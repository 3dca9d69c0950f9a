#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What joins and leaves cost: so many join a room that is full already, stay, and leave.

  bench/presence.py [--members 5000] [--reactors 2] [--backend uring] [--build build/release]

Per phase: seconds, frames of joins and leaves that were put into queues, how many that would have
been with one message for each join and member, what the frames said, and the CPU time of parleyd.
The room is filled and joined by parley-bench (`idle --session`), which has no say in what it hears.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

PORT, INTERNAL = 18310, 18311
SETTLE_S = 12  # after which a room has been told of its sample


def metrics():
    with urllib.request.urlopen(f'http://127.0.0.1:{INTERNAL}/metrics', timeout=10) as got:
        text = got.read().decode()

    def total(pattern):
        return sum(float(value) for value in re.findall(pattern + r'(?:\{[^}]*\})? (\S+)', text))
    return {
        'delivered': total(r'(?m)^parley_join_leave_deliveries_total'),
        'joins': total(r'(?m)^parley_join_leave_told_total\{[^}]*kind="join"[^}]*\}'),
        'leaves': total(r'(?m)^parley_join_leave_told_total\{[^}]*kind="leave"[^}]*\}'),
        'members': total(r'(?m)^parley_subscriptions'),
    }


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def crowd(build, count, seconds):
    return subprocess.Popen(
        [f'{build}/parley-bench', 'idle', f'ws://127.0.0.1:{PORT}/connection/websocket',
         '--session', '-c', str(count), '-d', str(seconds), '--warmup', '0', '--sources', '8'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def until_members(check, what):
    end = time.monotonic() + 60
    while not check(metrics()['members']):
        if time.monotonic() > end:
            sys.exit(f'waited a minute for {what}')
        time.sleep(0.05)


class Phase:
    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.began = time.monotonic()
        self.cpu, self.before = cpu_seconds(pid), metrics()

    def end(self, naive):
        seconds, now = time.monotonic() - self.began, metrics()
        cpu = cpu_seconds(self.pid) - self.cpu
        delivered, joins, leaves = (now[key] - self.before[key]
                                    for key in ('delivered', 'joins', 'leaves'))
        print(f'{self.name:20} {seconds:5.1f} s  {delivered:9,.0f} frames '
              f'({delivered / seconds:7,.0f}/s) for {naive:11,.0f}  {joins:5,.0f} joins '
              f'{leaves:5,.0f} leaves told  {cpu:5.2f} s CPU', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--members', type=int, default=5000)
    parser.add_argument('--reactors', type=int, default=2)
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--build', default='build/release')
    parser.add_argument('--quiet-room', action='store_true',
                        help='without joins and leaves: what everything else costs')
    options = parser.parse_args()
    count = options.members
    room = {'presence': True, 'join_leave': not options.quiet_room,
            'force_push_join_leave': not options.quiet_room}
    config = {'client': {'insecure': True, 'command_rate': 100000, 'command_burst': 100000},
              'channel': {'without_namespace': room}}
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump(config, file)
        file.flush()
        server = subprocess.Popen(
            [f'{options.build}/parleyd', '-c', file.name, '-l', f'127.0.0.1:{PORT}',
             '--internal-listen', f'127.0.0.1:{INTERNAL}', '-r', str(options.reactors),
             '--backend', options.backend, '--log-level', 'error'])
        crowds = []
        try:
            time.sleep(0.5)
            phase = Phase(f'{count:,} fill a room', server.pid)
            crowds.append(crowd(options.build, count, 50))
            until_members(lambda there: there >= count, 'the room to fill')
            time.sleep(SETTLE_S)
            phase.end(count * count / 2)
            phase = Phase(f'{count:,} join them', server.pid)
            crowds.append(crowd(options.build, count, SETTLE_S))
            until_members(lambda there: there >= 2 * count, 'the others to join')
            time.sleep(SETTLE_S / 2)
            phase.end(count * count * 1.5)
            phase = Phase('and leave', server.pid)
            until_members(lambda there: there <= count, 'the others to leave')
            time.sleep(SETTLE_S / 2)
            phase.end(count * count * 1.5)
        finally:
            for one in crowds:
                one.terminate()
                one.wait()
            server.terminate()
            server.wait()


if __name__ == '__main__':
    main()
