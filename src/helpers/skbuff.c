// SPDX-License-Identifier: GPL-2.0

#include <linux/skbuff.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/dst_metadata.h>
#include <net/gro.h>
#include <net/gso.h>
#include <net/icmp.h>
#include <net/inet_ecn.h>
#include <net/ip6_checksum.h>
#include <net/ip_tunnels.h>
#include <net/page_pool/helpers.h>
#include <net/tcp.h>

const gfp_t NET_CONST_HELPER_GFP_ATOMIC_MASK = GFP_ATOMIC;
const netdev_features_t NET_CONST_HELPER_KEEP_CHECKSUMS = NETIF_F_SG | NETIF_F_HW_CSUM;

/* Queries about a packet. */
#define SKB_BOOL(name, value)						\
	bool net_helper_##name(const struct sk_buff *skb)		\
	{								\
		return value;						\
	}

#define SKB_INT(name, value)						\
	int net_helper_##name(const struct sk_buff *skb)		\
	{								\
		return value;						\
	}

#define SKB_U32(name, value)						\
	u32 net_helper_##name(const struct sk_buff *skb)		\
	{								\
		return value;						\
	}

SKB_INT(skb_network_offset, skb_network_offset(skb))
SKB_INT(skb_transport_offset, skb_transport_offset(skb))
SKB_U32(skb_headroom, skb_headroom(skb))
SKB_INT(skb_tailroom, skb_tailroom(skb))
SKB_U32(skb_dst_mtu, skb_valid_dst(skb) ? dst_mtu(skb_dst(skb)) : 0)
SKB_BOOL(skb_is_gso, skb_is_gso(skb))
SKB_U32(skb_gso_size, skb_shinfo(skb)->gso_size)
SKB_U32(skb_gso_segs, skb_shinfo(skb)->gso_segs)
SKB_U32(skb_gso_type, skb_shinfo(skb)->gso_type)
SKB_U32(skb_nr_frags, skb_shinfo(skb)->nr_frags)
SKB_BOOL(skb_is_udp_train, (skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4) && !skb->encapsulation)
SKB_BOOL(skb_has_shared_frag, skb_has_shared_frag(skb))
SKB_BOOL(skb_has_frag_list, skb_has_frag_list(skb))
SKB_BOOL(skb_counts_as_sent, skb->sk && (skb->destructor == sock_wfree || skb->destructor == tcp_wfree))
SKB_BOOL(skb_wants_timestamp, skb_shinfo(skb)->tx_flags & SKBTX_ANY_TSTAMP)
SKB_BOOL(skb_shared, skb_shared(skb))
SKB_BOOL(skb_cloned, skb_cloned(skb))
SKB_BOOL(skb_needs_checksum, skb->ip_summed == CHECKSUM_PARTIAL)
SKB_INT(skb_checksum_start_offset, skb_checksum_start_offset(skb))
SKB_U32(skb_checksum_offset, skb->csum_offset)
SKB_U32(skb_hash_raw, skb->hash)
SKB_BOOL(skb_l4_hash, skb->l4_hash)
SKB_BOOL(skb_sw_hash, skb->sw_hash)
SKB_INT(skb_iif, skb->skb_iif)
SKB_INT(skb_inet6_sdif, inet6_sdif(skb))

struct sk_buff *net_helper_skb_frag_list(const struct sk_buff *skb)
{
	return skb_shinfo(skb)->frag_list;
}

__be16 net_helper_ip_tunnel_parse_protocol(const struct sk_buff *skb)
{
	return ip_tunnel_parse_protocol(skb);
}

__be16 net_helper_skb_protocol_raw(const struct sk_buff *skb)
{
	return skb->protocol;
}

u8 net_helper_skb_tstamp_type(const struct sk_buff *skb)
{
	return skb->tstamp_type;
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

void net_helper_skb_list_add_tail(struct sk_buff *skb, struct list_head *list)
{
	list_add_tail(&skb->list, list);
}

bool net_helper_skb_is_plain_gso(const struct sk_buff *skb)
{
	return skb_is_gso(skb) && skb->ip_summed == CHECKSUM_PARTIAL && !skb->encapsulation &&
	       !skb_has_frag_list(skb) && skb_frags_readable(skb) && skb_transport_header_was_set(skb);
}

void net_helper_skb_set_udp_gso(struct sk_buff *skb, u16 size, u16 segments)
{
	skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
	skb_shinfo(skb)->gso_size = size;
	skb_shinfo(skb)->gso_segs = segments;
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) - sizeof(struct udphdr);
	skb->csum_offset = offsetof(struct udphdr, check);
}

int net_helper_skb_unclone_atomic(struct sk_buff *skb)
{
	return skb_unclone(skb, GFP_ATOMIC);
}

void net_helper_skb_gso_reset(struct sk_buff *skb)
{
	skb_gso_reset(skb);
}

void net_helper_skb_checksum_partial(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_PARTIAL;
}

void net_helper_skb_push_to_mac(struct sk_buff *skb)
{
	__skb_push(skb, -skb_mac_offset(skb));
}

void net_helper_skb_pull_to_udp_payload(struct sk_buff *skb)
{
	__skb_pull(skb, skb_transport_offset(skb) + sizeof(struct udphdr));
}

void net_helper_skb_add_buffer(struct sk_buff *skb, void *data, unsigned int len, unsigned int size)
{
	struct page *page = virt_to_head_page(data);

	skb_mark_for_recycle(skb);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, data - page_address(page), len, size);
}

void net_helper_skb_set_inner_network_header(struct sk_buff *skb, int offset)
{
	skb_set_inner_network_header(skb, offset);
}

void *net_helper_skb_frag_address(const struct sk_buff *skb, unsigned int frag)
{
	return skb_frag_address(&skb_shinfo(skb)->frags[frag]);
}

u32 net_helper_skb_frag_size(const struct sk_buff *skb, unsigned int frag)
{
	return skb_frag_size(&skb_shinfo(skb)->frags[frag]);
}

void net_helper_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

unsigned int net_helper_skb_head_size(unsigned int room)
{
	return SKB_HEAD_ALIGN(room);
}

void *net_helper_page_pool_dev_alloc_va(struct page_pool *pool, unsigned int *size)
{
	return page_pool_dev_alloc_va(pool, size);
}

void net_helper_page_pool_free_va(struct page_pool *pool, void *va, bool allow_direct)
{
	page_pool_free_va(pool, va, allow_direct);
}

void net_helper_skb_copy_timestamp_request(struct sk_buff *to, const struct sk_buff *from)
{
	skb_shinfo(to)->tx_flags |= skb_shinfo(from)->tx_flags & SKBTX_ANY_TSTAMP;
	skb_shinfo(to)->tskey = skb_shinfo(from)->tskey;
}

void net_helper_skb_copy_hwtstamps(struct sk_buff *to, const struct sk_buff *from)
{
	*skb_hwtstamps(to) = *skb_hwtstamps((struct sk_buff *)from);
}

/* It is not a time but the driver's, which only the device that received the packet understands. */
bool net_helper_skb_hwtstamps_are_private(const struct sk_buff *skb)
{
	return skb_shinfo(skb)->tx_flags & SKBTX_HW_TSTAMP_NETDEV;
}

void net_helper_skb_clear_hwtstamps(struct sk_buff *skb)
{
	*skb_hwtstamps(skb) = (struct skb_shared_hwtstamps){ };
	skb_shinfo(skb)->tx_flags &= ~SKBTX_HW_TSTAMP_NETDEV;
}

struct sock *net_helper_skb_sk(const struct sk_buff *skb)
{
	return skb->sk;
}

void net_helper_skb_copy_socket(struct sk_buff *to, const struct sk_buff *from)
{
	to->sk = from->sk;
	to->destructor = from->destructor;
}

void net_helper_sk_wmem_add(struct sock *sk, int size)
{
	refcount_add(size, &sk->sk_wmem_alloc);
}

__wsum net_helper_csum_partial_copy_nocheck(const void *src, void *dst, int len)
{
	return csum_partial_copy_nocheck(src, dst, len);
}

__wsum net_helper_csum_block_add(__wsum csum, __wsum csum2, int offset)
{
	return csum_block_add(csum, csum2, offset);
}

__sum16 net_helper_csum_tcpudp_magic(__be32 saddr, __be32 daddr, u32 len, u8 proto, __wsum sum)
{
	return csum_tcpudp_magic(saddr, daddr, len, proto, sum);
}

__sum16 net_helper_csum_ipv6_magic(const struct in6_addr *saddr, const struct in6_addr *daddr,
				   u32 len, u8 proto, __wsum sum)
{
	return csum_ipv6_magic(saddr, daddr, len, proto, sum);
}

void net_helper_skb_set_checksummed(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_NONE;
}

__sum16 net_helper_csum_fold(__wsum sum)
{
	return csum_fold(sum);
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
	/* Where the memory goes when it is freed. */
	u16 cpu = skb->alloc_cpu;

	memset(&skb->headers, 0, sizeof(skb->headers));
	skb->alloc_cpu = cpu;
}

void net_helper_skb_set_flow(struct sk_buff *skb, u32 hash, bool l4, bool sw, u8 tstamp_type)
{
	skb->hash = hash;
	skb->l4_hash = l4;
	skb->sw_hash = sw;
	skb->tstamp_type = tstamp_type;
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
