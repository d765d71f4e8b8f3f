#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A client in Python, pyroute2: makes interfaces in two namespaces, configures, shows and deletes them.

cd "$(dirname "$0")" && source ../guest/lib.sh
plan 10
topology
ip -n a link del wg0

a python3 - "$KEY_A" "$PUB_B" "$(wg genpsk)" >/tmp/python.out 2>&1 <<'EOT'
import sys
from pyroute2 import IPRoute, WireGuard

private, peer, psk = sys.argv[1:]
with IPRoute() as ip:
    ip.link("add", ifname="wg0", kind="wireguard")
    index = ip.link_lookup(ifname="wg0")[0]
    ip.addr("add", index=index, address="192.168.241.1", prefixlen=24)
    ip.addr("add", index=index, address="fd41::1", prefixlen=64)
    ip.link("set", index=index, state="up")
    kind = ip.get_links(index)[0].get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
print("kind", kind)

wg = WireGuard()
wg.set("wg0", private_key=private, listen_port=1000, fwmark=0x1337)
wg.set("wg0", peer={"public_key": peer, "endpoint_addr": "10.0.0.2", "endpoint_port": 2000,
                    "persistent_keepalive": 15, "allowed_ips": ["192.168.241.2/32", "fd41::2/128"]})
other = "TGFHcm9zc2VCaWNoZV9DJ2VzdExhUGx1c0JlbGxlPDM="
wg.set("wg0", peer={"public_key": other, "preshared_key": psk,
                    "endpoint_addr": "2001:db8::9", "endpoint_port": 9999, "allowed_ips": ["::/0"]})
info = wg.info("wg0")[0]
print("port", info.get_attr("WGDEVICE_A_LISTEN_PORT"), "mark", info.get_attr("WGDEVICE_A_FWMARK"))
for one in info.get_attr("WGDEVICE_A_PEERS"):
    print("peer", one.get_attr("WGPEER_A_PUBLIC_KEY").decode(),
          one.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL"),
          ",".join(x["addr"] for x in one.get_attr("WGPEER_A_ALLOWEDIPS")))
wg.set("wg0", peer={"public_key": other, "remove": True})
print("left", len(wg.info("wg0")[0].get_attr("WGDEVICE_A_PEERS")))
EOT
check "the program runs to its end" grep -q "^left" /tmp/python.out
sed 's/^/# /' /tmp/python.out
check "the link is of our kind" grep -qx "kind wireguard" /tmp/python.out
check "it sees port and mark" grep -qx "port 1000 mark 4919" /tmp/python.out
check "it sees one peer" grep -qx "peer $PUB_B 15 192.168.241.2/32,fd41::2/128" /tmp/python.out
check "and the other" grep -qx "peer TGFHcm9zc2VCaWNoZV9DJ2VzdExhUGx1c0JlbGxlPDM= 0 ::/0" /tmp/python.out
check "which it has removed" grep -qx "left 1" /tmp/python.out
check "wg sees what it has set" is "$(a wg show wg0 fwmark) $(a wg show wg0 listen-port) $(a wg show wg0 peers)" "0x1337 1000 $PUB_B"
check "the tunnel carries IPv4" a ping -c 2 -i 0.3 -W 5 192.168.241.2
check "and IPv6" a ping -c 1 -W 5 fd41::2
a python3 -c 'from pyroute2 import IPRoute; IPRoute().link("del", ifname="wg0")'
refuse "it deletes the interface" ip -n a link show wg0
teardown
finish
