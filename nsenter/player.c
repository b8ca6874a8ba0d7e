/*
 * The player: the code that runs in a container between clone and execve.
 *
 * It receives phases on one SOCK_SEQPACKET socket, performs their records one by one, and answers with the index
 * and errno of the first failure and with its slots. It decides nothing. nsenter/plan/lower.go writes what it
 * reads; the two agree on struct head, struct rec and the meaning of kinds and outcomes.
 *
 * All of it lives in the section "player", which Go copies behind an ELF header into a sealed memfd. It must
 * therefore stand alone: no libc, no data, no relocations, no call to a function outside the section
 * (image_test.go disassembles it to make sure). Loops that gcc could turn into memset or memcpy go through
 * volatile.
 */
#include "arch.h"

enum { SLOTS = 64, FDS_MAX = 32, CONTROL_FD = 3 };
enum { INLINE_MAX = 16384 };			/* longer phases arrive in a memfd: this buffer stays resident */
enum { POKE = -1, EXPECT = -2, LOAD = -3 };	/* pseudo calls */
enum { NO_STORE = 0xff, NO_OUTCOME = 0x7fff };
enum { OUTCOMES = 4, ARGS = 6 };
enum kind { IMMEDIATE, DATA, SLOT_VALUE, SLOT_ADDR };	/* two bits for each argument */

struct rec {
	int nr;
	u16 kinds;
	u8 store;				/* the slot that receives the result */
	u8 any;					/* no errno is a failure */
	struct { s16 result; u16 skip; } on[OUTCOMES];	/* this result is no failure, and skips records */
	u64 arg[ARGS];
};

struct head { u32 recs, relocs, size; u8 input, in_memfd, pad[2]; };
struct answer { int index, err, slot[SLOTS]; };

struct iov { void *base; u64 len; };
struct msg { void *name; u32 namelen; struct iov *iov; u64 iovlen; void *control; u64 controllen; int flags; };
struct cmsg { u64 len; int level, type; int fd[FDS_MAX]; };

enum { PROT_RW = 3, MAP_PRIVATE = 2, MAP_PRIVATE_ANON = 0x22, MSG_CTRUNC = 8, MSG_CMSG_CLOEXEC = 0x40000000 };
enum { EAGAIN = 11, EMFILE = 24 };
enum { NR_openat2 = 437 };			/* everywhere */
enum { TRIES = 128 };
enum { EXIT_NO_PARENT = 120, EXIT_NO_ANSWER = 121 };

INLINE long perform(const struct rec *r, char *data, struct answer *ans)
{
	long a[ARGS];

	for (int i = 0; i < ARGS; i++) {
		u64 v = r->arg[i];

		switch (r->kinds >> 2 * i & 3) {
		case DATA:
			a[i] = (long)(data + v);
			break;
		case SLOT_VALUE:
			a[i] = ans->slot[v % SLOTS];
			break;
		case SLOT_ADDR:
			a[i] = (long)&ans->slot[v % SLOTS];
			break;
		default:
			a[i] = (long)v;
		}
	}
	if (r->nr == POKE) {
		*(int *)a[0] = (int)a[1];
		return 0;
	}
	if (r->nr == EXPECT)
		return (*(u32 *)a[0] & (u32)a[1]) == (u32)a[2] ? 0 : -a[3];
	if (r->nr == LOAD)
		return *(u32 *)a[0] & (u32)a[1];
	return call(r->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* play performs one phase; ans says how far it came. */
INLINE void play(char *base, struct answer *ans)
{
	const struct head *h = (const struct head *)base;
	const struct rec *recs = (const struct rec *)(base + sizeof *h);
	const u32 *relocs = (const u32 *)(recs + h->recs);
	char *data = (char *)(relocs + ((h->relocs + 1) & ~1u));
	u32 i = 0;

	for (u32 k = 0; k < h->relocs; k++)
		*(u64 *)(data + relocs[k]) += (u64)data;
	ans->err = 0;
	while (i < h->recs) {
		const struct rec *r = recs + i;
		long result;
		int failed, tries = TRIES;
		u32 skip = 0;

		/* A lookup of `..` below a root fails when anything on the host was mounted or renamed meanwhile. */
		do
			result = perform(r, data, ans);
		while (result == -EAGAIN && r->nr == NR_openat2 && --tries);
		failed = result < 0 && result > -4096 && !r->any;
		if (r->store != NO_STORE)
			ans->slot[r->store % SLOTS] = (int)result;
		for (int k = 0; k < OUTCOMES; k++) {
			if (r->on[k].result != NO_OUTCOME && r->on[k].result == result) {
				failed = 0;
				skip = r->on[k].skip;
				break;
			}
		}
		if (failed) {
			ans->err = (int)-result;
			break;
		}
		i += 1 + skip;
	}
	ans->index = (int)i;
}

/* refuse answers a phase that could not be received. Volatile keeps the two from becoming one constant in memory. */
INLINE void refuse(volatile struct answer *ans, long err)
{
	ans->index = -1;
	ans->err = (int)err;
}

/* leave ends the process, also below a filter that forbids to exit: nobody else would. */
INLINE void leave(int status)
{
	call(NR_exit_group, status, 0, 0, 0, 0, 0);
	__builtin_trap();
}

__attribute__((section("player"), used, noinline, no_stack_protector, noreturn))
void player_start(void)
{
	struct answer ans;
	struct cmsg c;
	char *buf = (char *)call(NR_mmap, 0, INLINE_MAX, PROT_RW, MAP_PRIVATE_ANON, -1, 0);

	for (int i = 0; i < SLOTS; i++)
		*(volatile int *)&ans.slot[i] = i ? -1 : CONTROL_FD;
	for (;;) {
		struct iov iov = { buf, INLINE_MAX };
		struct msg m = { 0, 0, &iov, 1, &c, sizeof c, 0 };
		long n = call(NR_recvmsg, ans.slot[0], (long)&m, MSG_CMSG_CLOEXEC, 0, 0, 0);
		struct head *h = (struct head *)buf;
		char *base = buf;
		u64 size = 0;
		u32 fds;
		int truncated;

		if (n < (long)sizeof *h)
			leave(EXIT_NO_PARENT);
		fds = m.controllen < 20 ? 0 : (u32)((c.len - 16) / 4);
		for (u32 i = 0; i < fds; i++)
			ans.slot[(h->input + i) % SLOTS] = c.fd[i];
		truncated = m.flags & MSG_CTRUNC;	/* RLIMIT_NOFILE: some descriptors were dropped */
		if (h->in_memfd && fds && !truncated) {	/* private pages; the file itself is charged to the parent */
			size = h->size;
			base = (char *)call(NR_mmap, 0, (long)size, PROT_RW, MAP_PRIVATE, c.fd[fds - 1], 0);
			call(NR_close, c.fd[fds - 1], 0, 0, 0, 0, 0);
		}
		if (truncated)
			refuse(&ans, EMFILE);
		else if ((u64)base > -4096UL)
			refuse(&ans, -(long)base);
		else
			play(base, &ans);
		/* Once slot 0 is no longer the socket, this answer was the last word: execve failed. */
		n = call(NR_write, ans.slot[0], (long)&ans, sizeof ans, 0, 0, 0);
		if (n != sizeof ans || ans.slot[0] != CONTROL_FD)
			leave(EXIT_NO_ANSWER);
		if (size)
			call(NR_munmap, (long)base, (long)size, 0, 0, 0, 0);
	}
}
