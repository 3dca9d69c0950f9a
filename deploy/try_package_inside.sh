#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# In a Debian that was booted with the package installed: is it what an administrator expects?
# Run by deploy/try_package.sh, as a unit. Its last line is the totals.

passed=0
failed=0

# check WHAT COMMAND...: it succeeds.
check()
{
    local what=$1
    shift
    if "$@" >/root/last 2>&1; then
        passed=$((passed + 1))
        printf 'passed   %s\n' "$what"
    else
        failed=$((failed + 1))
        printf 'failed   %s\n' "$what"
        sed 's/^/         /' /root/last
    fi
}

# until_ok COMMAND...: it succeeds before a minute is over.
until_ok()
{
    local end=$((SECONDS + 60))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

of() { systemctl show --property="$1" --value parleyd.service; }
is() { [ "$(of "$1")" = "$2" ] || { of "$1"; return 1; }; }
answers() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$1")" = "$2" ]; }
not() { ! "$@"; }
status_of() { grep -P "^$1:\t$2" "/proc/$(of MainPID)/status"; }
journal_has() { journalctl --unit parleyd.service --output cat | grep -E "$1"; }
log_after() { journalctl --unit parleyd.service --output cat --since "@$1" | grep -E "$2"; }
# It says nothing, that is.
verifies()
{
    systemd-analyze verify --man=no "$@" 2>&1 | tee /root/verify
    [ ! -s /root/verify ]
}
configure()
{
    cat >/etc/parley/parley.yaml
    systemctl restart parleyd.service
}

systemctl start systemd-journald.service
ready=http://127.0.0.1:9000/ready

check 'started when the machine was' is ActiveState active
check 'ready' answers $ready 200
check 'the chat page' answers http://127.0.0.1:8000/ 200
check 'says how it goes' grep -E '^[0-9]+ connections, [0-9]+ channels' <(of StatusText)
check 'is watched' is WatchdogUSec 30s
check 'the units are good' verifies parleyd.service parley.socket
check 'the socket is not enabled' [ "$(systemctl is-enabled parley.socket)" = disabled ]
check 'exposure at most 1.5' systemd-analyze security --threshold=15 --no-pager parleyd.service
check 'its user' [ "$(stat -c %U "/proc/$(of MainPID)")" = parley ]
check 'no capability' status_of CapEff 0000000000000000
check 'no new privileges' status_of NoNewPrivs 1
check 'system calls are filtered' status_of Seccomp 2
check 'the configuration is not for everybody' \
    [ "$(stat -c '%U %G %a' /etc/parley/parley.yaml)" = 'root parley 640' ]
check 'it is a conffile' grep -q /etc/parley/parley.yaml <(dpkg-query -W -f '${Conffiles}' parley)
check 'it says what it is made of' \
    grep -q pkg:deb/debian/libssl3 /usr/share/doc/parley/parley.cdx.json
check 'manual of parleyd' test -f /usr/share/man/man8/parleyd.8.gz
check 'manual of parley-bench' test -f /usr/share/man/man1/parley-bench.1.gz

# A store, and clients that are let in.
configure <<'CONFIG'
client: {insecure: true}
shutdown: {grace: 500ms, close_rate: 100}
store: {engine: rocksdb, path: /var/lib/parley/store}
CONFIG
check 'the configuration is good' \
    runuser -u parley -- parleyd --config /etc/parley/parley.yaml --check-config
check 'restarted with a store' is ActiveState active
check 'ready when the store is open' answers $ready 200
check 'the store is its own' [ "$(stat -c '%U %a' /var/lib/parley)" = 'parley 700' ]
check 'io_uring works under the unit' journal_has 'backend=(io_)?uring'
check 'the store can be looked into while it is in use' \
    runuser -u parley -- parleyd store stat --config /etc/parley/parley.yaml --live
check 'reload' systemctl reload parleyd.service
check 'serves after it' until_ok is ActiveState active
check 'said that it reloaded' journal_has 'event=reloaded'
cp /etc/parley/parley.yaml /root/good.yaml
echo 'http_server: {tls: {enabled: true, cert_pem_file: /x, key_pem_file: /y}}' \
    >>/etc/parley/parley.yaml
check 'a reload of what will not do fails' not systemctl reload parleyd.service
check 'says why' journal_has 'http_server.tls: .*/x'
check 'and changes nothing' answers $ready 200
cat /root/good.yaml >/etc/parley/parley.yaml

# 300 clients, and stop.
parley-bench idle ws://127.0.0.1:8000/connection/websocket -c 300 -d 30 >/root/bench 2>&1 &
has_clients() { curl -s http://127.0.0.1:9000/metrics | grep -qE '^parley_sessions 300$'; }
check 'clients come' until_ok has_clients
check 'stop' systemctl stop parleyd.service
check 'ended well' is Result success
check 'everybody was told' journal_has 'drained.* told=300 waiting=0 open=0 cut=0'
kill %1
wait

check 'the store can be looked into' \
    runuser -u parley -- parleyd store stat --config /etc/parley/parley.yaml
check 'its manual says how' sh -c 'zgrep -q "parleyd store" /usr/share/man/man8/parleyd.8.gz'

# As deploy/README.md says, for a port below 1024.
mkdir -p /run/systemd/system/parleyd.service.d
printf '[Service]\n%s\n%s\n%s\n' AmbientCapabilities=CAP_NET_BIND_SERVICE \
    CapabilityBoundingSet=CAP_NET_BIND_SERVICE PrivateUsers=no \
    >/run/systemd/system/parleyd.service.d/port.conf
systemctl daemon-reload
before=$(cat /etc/parley/parley.yaml)
configure <<<"$before
http_server: {port: 80}"
check 'a low port' answers http://127.0.0.1:80/ 200
rm -r /run/systemd/system/parleyd.service.d
systemctl daemon-reload
configure <<<"$before"

# Socket activation, as deploy/README.md says: on a low port, without any capability.
systemctl stop parleyd.service
mkdir -p /run/systemd/system/parley.socket.d
printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:80\n' \
    >/run/systemd/system/parley.socket.d/port.conf
systemctl daemon-reload
printf '%s\nhttp_server: {port: 80}\n' "$before" >/etc/parley/parley.yaml
systemctl start parley.socket
check 'a client starts it' answers http://127.0.0.1:80/ 200
check 'with the socket' journal_has 'event=activated .*inherited=1 opened=1'
check 'still no capability' status_of CapEff 0000000000000000
# Over three restarts and a death, one client after the other; each waits 30 s at most.
asks_all_the_time()
{
    local count=0
    while [ -e /root/asking ]; do
        curl -s -o /dev/null --max-time 30 http://127.0.0.1:80/
        [ $? -ne 7 ] || echo "refused" # what the killed one had accepted may be cut
        count=$((count + 1))
    done
    echo "served $count"
}
touch /root/asking
asks_all_the_time >/root/asked &
for _ in 1 2 3; do
    systemctl restart parleyd.service
done
kill -KILL "$(of MainPID)"
until_ok is NRestarts 1 >/dev/null
until_ok answers $ready 200
rm /root/asking
wait
check 'no connection is refused meanwhile' not grep refused /root/asked
check 'somebody was there' grep -E 'served [1-9]' /root/asked
systemctl stop parley.socket parleyd.service
rm -r /run/systemd/system/parley.socket.d
systemctl daemon-reload
systemctl reset-failed parleyd.service
configure <<<"$before"

# shellcheck source=deploy/try_package_around.sh
source /root/around.sh
configure <<<"$before"

# What systemd does when it dies, or stands still.
systemctl start parleyd.service
kill -KILL "$(of MainPID)"
check 'starts again after kill -9' until_ok is NRestarts 1
check 'and is ready' until_ok answers $ready 200
mkdir -p /run/systemd/system/parleyd.service.d
printf '[Service]\nWatchdogSec=2s\n' >/run/systemd/system/parleyd.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart parleyd.service
sleep 3
check 'the watchdog is fed' is NRestarts 0
kill -STOP "$(of MainPID)"
check 'who stands still is started again' until_ok is NRestarts 1
check 'because of the watchdog' journal_has 'Watchdog timeout'
check 'and is ready' until_ok answers $ready 200
rm -r /run/systemd/system/parleyd.service.d
systemctl daemon-reload

# Upgrade, remove, purge, with the socket.
systemctl stop parleyd.service
check 'enabling the socket' systemctl enable --now parley.socket
systemctl start parleyd.service
before=$(of MainPID)
check 'upgrade' dpkg --install /root/parley.deb
check 'restarts it' not is MainPID "$before"
check 'leaves the socket open' [ "$(systemctl is-active parley.socket)" = active ]
check 'leaves the configuration alone' grep -q 'close_rate: 100' /etc/parley/parley.yaml
check 'remove' dpkg --remove parley
check 'stops it' not curl -s $ready
check 'stops the socket' not curl -s http://127.0.0.1:8000/
check 'leaves the configuration' test -f /etc/parley/parley.yaml
check 'leaves what was stored' test -d /var/lib/parley/store
check 'purge' dpkg --purge parley
check 'takes the configuration' not test -e /etc/parley
check 'takes what was stored' not test -e /var/lib/parley
check 'leaves no unit' not systemctl cat parleyd.service
check 'leaves no socket unit' not systemctl cat parley.socket
check 'leaves no program' not test -e /usr/bin/parleyd -o -e /usr/libexec/parley

printf '%d passed, %d failed\n' $passed $failed
