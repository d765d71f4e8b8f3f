// SPDX-License-Identifier: GPL-2.0

#include <linux/security.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <linux/workqueue.h>
#include <net/dst_cache.h>
#include <net/inet_sock.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/udp_tunnel.h>

bool net_helper_ipv6_mod_enabled(void)
{
	return ipv6_mod_enabled();
}

__be16 net_helper_inet_sport(const struct sock *sk)
{
	return inet_sk(sk)->inet_sport;
}

void *net_helper_sk_user_data(const struct sock *sk)
{
	return rcu_dereference_sk_user_data(sk);
}

struct net *net_helper_sock_net(const struct sock *sk)
{
	return sock_net(sk);
}

u32 net_helper_ipv6_iface_scope_id(const struct in6_addr *addr, int iface)
{
	return ipv6_iface_scope_id(addr, iface);
}

int net_helper_l3mdev_master_ifindex_by_index(struct net *net, int ifindex)
{
	return l3mdev_master_ifindex_by_index(net, ifindex);
}

void net_helper_dst_cache_reset(struct dst_cache *cache)
{
	dst_cache_reset(cache);
}

void net_helper_ip_rt_put(struct rtable *rt)
{
	ip_rt_put(rt);
}

struct net_device *net_helper_dst_dev(const struct dst_entry *dst)
{
	return dst_dev(dst);
}

u32 net_helper_dst_mtu(const struct dst_entry *dst)
{
	return dst_mtu(dst);
}

int net_helper_ip4_dst_hoplimit(const struct dst_entry *dst)
{
	return ip4_dst_hoplimit(dst);
}

void net_helper_skb_set_mark(struct sk_buff *skb, u32 mark)
{
	skb->mark = mark;
}

void net_helper_skb_ignore_df(struct sk_buff *skb)
{
	skb->ignore_df = 1;
}

void net_helper_sk_set_user_data(struct sock *sk, void *data)
{
	rcu_assign_sk_user_data(sk, data);
}

/*
 * Datagrams in memory from the reserves may come in. Without sk_set_memalloc(), by which all interfaces would receive into
 * the reserves as long as there is such a socket.
 */
void net_helper_sk_take_reserves(struct sock *sk)
{
	sock_set_flag(sk, SOCK_MEMALLOC);
}

void net_helper_sk_bypass_prot_mem(struct sock *sk)
{
	sk->sk_bypass_prot_mem = 1;
}

int net_helper_ip6_sock_set_v6only(struct sock *sk)
{
	return ip6_sock_set_v6only(sk);
}

long net_helper_in_worker(long (*call)(void *), void *data)
{
	return work_on_cpu(raw_smp_processor_id(), call, data);
}

void net_helper_udp_take_trains(struct sock *sk)
{
#ifdef CONFIG_NET_RX_BUSY_POLL
	WRITE_ONCE(sk->sk_ll_usec, 0);
#endif
	inet_clear_bit(MC_LOOP, sk);
	udp_set_bit(GRO_ENABLED, sk);
	udp_set_bit(ACCEPT_L4, sk);
	udp_tunnel_encap_enable(sk);
}

bool net_helper_udp_checksum_is_bad(struct sk_buff *skb)
{
	return udp_lib_checksum_complete(skb);
}

void net_helper_security_sk_classify_flow(const struct sock *sk, struct flowi_common *flow)
{
	security_sk_classify_flow(sk, flow);
}

void net_helper_udp_count(struct sock *sk, int what, unsigned int datagrams)
{
	SNMP_ADD_STATS(__UDPX_MIB(sk, sk->sk_family == AF_INET), what, datagrams);
}
