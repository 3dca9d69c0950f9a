# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Prometheus, HAProxy and nginx with a parleyd, as deploy/README.md says; sourced by
# try_package_inside.sh, whose functions it uses. This machine has the addresses of all three.

examples=/usr/share/doc/parley/examples
name=chat.example.org
cert=/etc/parley/fullchain.pem

# prometheus_says QUERY TEXT
prometheus_says()
{
    curl -s --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | grep -q "$2"
}
begins() { systemctl restart "$1" || { journalctl --unit "$1" --output cat -n 20; return 1; }; }
page()
{
    curl -s -o /dev/null --fail --cacert $cert --resolve "$name:$1:10.0.0.1" "https://$name:$1/"
}
# Clients that speak TLS with the balancer's port $1 and stay for a second.
stay()
{
    parley-bench idle "wss://10.0.0.1:$1/connection/websocket" --session --tls-insecure -c 50 -d 1
}
hidden()
{
    [ "$(curl -s -o /dev/null -w '%{http_code}' --insecure "https://10.0.0.1/$1")" = 404 ]
}

cat >/etc/prometheus/prometheus.yml <<'CONFIG'
scrape_configs:
  - job_name: parley
    scrape_interval: 1s
    static_configs: [{ targets: ['127.0.0.1:9000'] }]
rule_files: [/usr/share/doc/parley/examples/alerts.yml]
CONFIG
check 'promtool finds the rules' promtool check config /etc/prometheus/prometheus.yml
check 'prometheus starts' begins prometheus.service
check 'Prometheus asks' until_ok prometheus_says 'up{job="parley"}' '"1"'
check 'and has its numbers' until_ok prometheus_says parley_sessions '"parley_sessions"'
check 'and the rules' \
    sh -c 'curl -s http://127.0.0.1:9090/api/v1/rules | grep -q "\"name\":\"[Pp]arley"'
systemctl stop prometheus

# 10.0.0.1 is the proxy, and what it connects from; 10.0.0.11 the parleyd.
ip address add 10.0.0.1/32 dev lo
ip address add 10.0.0.11/32 dev lo
ip route replace local 10.0.0.11/32 dev lo table local src 10.0.0.1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -subj "/CN=$name" -addext "subjectAltName=DNS:$name" -keyout /etc/parley/key.pem -out $cert \
    2>/dev/null
chgrp parley /etc/parley/key.pem && chmod 640 /etc/parley/key.pem
configure <<'CONFIG'
client: {insecure: true}
http_server:
  address: 10.0.0.11
  internal_address: 10.0.0.11
  trusted_proxies: [10.0.0.1]
  tls: { cert_pem_file: /etc/parley/fullchain.pem, key_pem_file: /etc/parley/key.pem }
  listeners:
    - address: 10.0.0.11
      port: 8443
      tls: true
      proxy_protocol: required
      trusted_proxies: [10.0.0.1]
CONFIG
check 'ready behind a proxy' answers http://10.0.0.11:9000/ready 200

(umask 077; cat $cert /etc/parley/key.pem >/etc/haproxy/parley.pem)
cp $examples/haproxy/haproxy.cfg /etc/haproxy/haproxy.cfg
sed -i 's/bind :8443/bind 10.0.0.1:8443/' /etc/haproxy/haproxy.cfg # parleyd's is here, too
check 'HAProxy takes its file' haproxy -c -f /etc/haproxy/haproxy.cfg
check 'haproxy starts' begins haproxy.service
check 'the page through HAProxy' until_ok page 443
check 'clients through HAProxy' stay 443
check 'clients through HAProxy, TLS at parleyd' until_ok stay 8443
check 'HAProxy hides the API' hidden api/info
check 'HAProxy has numbers' sh -c 'curl -s http://127.0.0.1:8405/metrics | grep -q ^haproxy_'
systemctl stop haproxy

cp $cert /etc/nginx/parley.pem && cp /etc/parley/key.pem /etc/nginx/parley.key
cp $examples/nginx/parley.conf /etc/nginx/conf.d/
check 'nginx takes its file' nginx -t
check 'nginx starts' begins nginx.service
check 'the page through nginx' until_ok page 443
check 'clients through nginx' stay 443
check 'nginx hides metrics' hidden metrics
systemctl stop nginx
rm $cert /etc/parley/key.pem
