#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "signals.h"

static int signals_out = -1;

static void pass_on(int sig)
{
	int saved = errno;
	unsigned char number = (unsigned char)sig;

	while (write(signals_out, &number, 1) < 0 && errno == EINTR)
		;
	errno = saved;
}

void take_signals(int fd, const unsigned char *numbers, int count)
{
	struct sigaction action = { .sa_handler = pass_on };

	signals_out = fd;
	/* Go's threads handle signals on a stack of their own, and its system calls expect to be restarted. */
	action.sa_flags = SA_ONSTACK | SA_RESTART;
	sigfillset(&action.sa_mask);
	for (int i = 0; i < count; i++)
		sigaction(numbers[i], &action, NULL);
}

void leave_signal(int number)
{
	signal(number, SIG_DFL);
}
