// SPDX-License-Identifier: GPL-2.0

#include <linux/skbuff.h>
#include <net/dst.h>
#include <net/dst_metadata.h>
#include <net/gro.h>
#include <net/gso.h>
#include <net/icmp.h>
#include <net/inet_ecn.h>
#include <net/ip_tunnels.h>

const gfp_t NET_CONST_HELPER_GFP_ATOMIC_MASK = GFP_ATOMIC;

__be16 net_helper_ip_tunnel_parse_protocol(const struct sk_buff *skb)
{
	return ip_tunnel_parse_protocol(skb);
}

__be16 net_helper_skb_protocol_raw(const struct sk_buff *skb)
{
	return skb->protocol;
}

int net_helper_skb_network_offset(const struct sk_buff *skb)
{
	return skb_network_offset(skb);
}

int net_helper_skb_transport_offset(const struct sk_buff *skb)
{
	return skb_transport_offset(skb);
}

unsigned int net_helper_skb_headroom(const struct sk_buff *skb)
{
	return skb_headroom(skb);
}

int net_helper_skb_tailroom(const struct sk_buff *skb)
{
	return skb_tailroom(skb);
}

u32 net_helper_skb_dst_mtu(const struct sk_buff *skb)
{
	return skb_valid_dst(skb) ? dst_mtu(skb_dst(skb)) : 0;
}

void net_helper_skb_dst_drop(struct sk_buff *skb)
{
	skb_dst_drop(skb);
}

void net_helper_skb_clear_dev(struct sk_buff *skb)
{
	skb->dev = NULL;
}

void net_helper_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

u32 net_helper_skb_get_hash(struct sk_buff *skb)
{
	return skb_get_hash(skb);
}

bool net_helper_skb_is_gso(const struct sk_buff *skb)
{
	return skb_is_gso(skb);
}

bool net_helper_skb_cloned(const struct sk_buff *skb)
{
	return skb_cloned(skb);
}

bool net_helper_skb_needs_checksum(const struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_PARTIAL;
}

struct sk_buff *net_helper_skb_share_check(struct sk_buff *skb, gfp_t pri)
{
	return skb_share_check(skb, pri);
}

struct sk_buff *net_helper_alloc_skb(unsigned int size, gfp_t priority)
{
	return alloc_skb(size, priority);
}

void net_helper_skb_reserve(struct sk_buff *skb, int len)
{
	skb_reserve(skb, len);
}

void net_helper_kfree_skb(struct sk_buff *skb)
{
	kfree_skb(skb);
}

void net_helper_skb_set_received(struct sk_buff *skb, struct net_device *dev, __be16 protocol)
{
	skb->dev = dev;
	skb->protocol = protocol;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->csum_level = ~0;
}

int net_helper_inet_ecn_decapsulate(struct sk_buff *skb, u8 outer, u8 inner)
{
	return INET_ECN_decapsulate(skb, outer, inner);
}

void net_helper_icmp_ndo_send(struct sk_buff *skb, int type, int code, __be32 info)
{
	icmp_ndo_send(skb, type, code, info);
}

void net_helper_icmpv6_ndo_send(struct sk_buff *skb, u8 type, u8 code, __u32 info)
{
	icmpv6_ndo_send(skb, type, code, info);
}

void net_helper_skb_scrub_packet(struct sk_buff *skb, bool xnet)
{
	skb_scrub_packet(skb, xnet);
}

void net_helper_skb_clear_headers(struct sk_buff *skb)
{
	memset(&skb->headers, 0, sizeof(skb->headers));
}

void net_helper_skb_set_flow(struct sk_buff *skb, u32 hash, bool l4, bool sw, u8 tstamp_type)
{
	skb->hash = hash;
	skb->l4_hash = l4;
	skb->sw_hash = sw;
	skb->tstamp_type = tstamp_type;
}

u32 net_helper_skb_hash_raw(const struct sk_buff *skb)
{
	return skb->hash;
}

bool net_helper_skb_l4_hash(const struct sk_buff *skb)
{
	return skb->l4_hash;
}

bool net_helper_skb_sw_hash(const struct sk_buff *skb)
{
	return skb->sw_hash;
}

u8 net_helper_skb_tstamp_type(const struct sk_buff *skb)
{
	return skb->tstamp_type;
}

void net_helper_skb_forget_device(struct sk_buff *skb)
{
	skb->dev = NULL;
	skb->queue_mapping = 0;
	skb->nohdr = 0;
	skb->peeked = 0;
	skb->mac_len = 0;
#ifdef CONFIG_NET_SCHED
	skb->tc_index = 0;
#endif
	skb_reset_redirect(skb);
}

void net_helper_skb_reset_offsets(struct sk_buff *skb)
{
	skb->hdr_len = skb_headroom(skb);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_reset_transport_header(skb);
	skb_reset_inner_headers(skb);
}

int net_helper_pskb_trim(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim(skb, len);
}

int net_helper_skb_iif(const struct sk_buff *skb)
{
	return skb->skb_iif;
}
