/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only list of C headers that the driver uses. bindgen turns them into
 * src/net/bindings_generated.rs; the helpers are parsed as well, so that
 * their prototypes are written once.
 */
#include <crypto/blake2s.h>
#include <crypto/chacha.h>
#include <crypto/chacha20poly1305.h>
#include <crypto/curve25519.h>
#include <crypto/poly1305.h>
#include <linux/cpumask.h>
#include <linux/dynamic_debug.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_arp.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/rtnetlink.h>
#include <linux/sched/clock.h>
#include <linux/siphash.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/suspend.h>
#include <linux/syscore_ops.h>
#include <linux/timekeeping.h>
#include <linux/udp.h>
#include <linux/workqueue.h>
#include <net/dst_cache.h>
#include <net/genetlink.h>
#include <net/gro.h>
#include <net/gso.h>
#include <net/icmp.h>
#include <net/inet_ecn.h>
#include <net/ip6_route.h>
#include <net/ip_tunnels.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/page_pool/helpers.h>
#include <net/route.h>
#include <net/rtnetlink.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/tso.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include <uapi/linux/wireguard.h>

#include "../src/helpers/crypto.c"
#include "../src/helpers/genetlink.c"
#include "../src/helpers/net_namespace.c"
#include "../src/helpers/netdevice.c"
#include "../src/helpers/skbuff.c"
#include "../src/helpers/slab.c"
#include "../src/helpers/sync.c"
#include "../src/helpers/trace.h"
#include "../src/helpers/udp.c"
