/* take_signals writes the number of each of these signals that arrives, as one byte, to fd. */
void take_signals(int fd, const unsigned char *numbers, int count);

/* leave_signal gives a signal its default meaning back. */
void leave_signal(int number);
