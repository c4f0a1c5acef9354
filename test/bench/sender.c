// SPDX-License-Identifier: MIT
// Sends UDP packets out of an interface for so many milliseconds, as fast as it can: sender INTERFACE MILLISECONDS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

static unsigned char packet[64] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1,
	0, 7, 0, 7, 0, 30, 0, 0,
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	struct mmsghdr messages[BATCH];
	struct iovec part = { packet, sizeof(packet) };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	int bypass = 1, out = socket(AF_PACKET, SOCK_RAW, 0);
	struct sched_param priority = { .sched_priority = 1 };
	double end;

	if (argc != 3 || out < 0)
		return 2;
	to.sll_ifindex = if_nametoindex(argv[1]);
	setsockopt(out, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof(bypass));
	if (bind(out, (struct sockaddr *)&to, sizeof(to)))
		return 2;
	/* What else the machine does is not to be measured. */
	sched_setscheduler(0, SCHED_FIFO, &priority);
	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_iov = &part;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (end = now() + atof(argv[2]); now() < end;)
		sendmmsg(out, messages, BATCH, 0);
	return 0;
}
