#!/bin/bash
ip netns add a; ip netns add b
ip link add veth0 netns a type veth peer name veth0 netns b
for n in a b; do ip -n $n link set lo up; ip -n $n link set veth0 up; done
ip -n a addr add 10.0.0.1/24 dev veth0; ip -n b addr add 10.0.0.2/24 dev veth0
ip -n a addr add fd00::1/64 dev veth0 nodad; ip -n b addr add fd00::2/64 dev veth0 nodad
ka=$(wg genkey); kb=$(wg genkey)
for n in a b; do ip -n $n link add wg0 type wireguard; done
ip netns exec a wg set wg0 private-key <(echo $ka) listen-port 1000 peer $(echo $kb | wg pubkey) allowed-ips 192.168.9.2/32,fd01::2/128 endpoint 10.0.0.2:2000
ip netns exec b wg set wg0 private-key <(echo $kb) listen-port 2000 peer $(echo $ka | wg pubkey) allowed-ips 192.168.9.1/32,fd01::1/128 endpoint 10.0.0.1:1000
for n in a b; do i=1; [ $n = b ] && i=2; ip -n $n addr add 192.168.9.$i/24 dev wg0; ip -n $n addr add fd01::$i/64 dev wg0 nodad; ip -n $n link set wg0 up; done
ip netns exec a ping -c 3 -W 2 192.168.9.2
ip netns exec a ping -c 3 -W 2 fd01::2
ip netns exec a ping -c 2 -s 4000 192.168.9.2
ip netns exec a wg show
ip netns exec b iperf3 -s -D -1; sleep 1
ip netns exec a iperf3 --connect-timeout 2000 -c 192.168.9.2 -t 3
ip netns exec b iperf3 -s -D -1; sleep 1
ip netns exec a iperf3 --connect-timeout 2000 -c fd01::2 -t 3 -R
ip netns exec b iperf3 -s -D -1; sleep 1
ip netns exec a iperf3 --connect-timeout 2000 -c 192.168.9.2 -t 3 -u -b 20M
ip netns exec a wg show
ip -n a -s link show wg0
ip netns del a; ip netns del b
sleep 1
rmmod wireguard
dmesg | tail -15
