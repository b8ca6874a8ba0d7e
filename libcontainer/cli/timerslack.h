/* timer_slack_of_caller returns the timer slack, in nanoseconds, that this process was started with; 0: unchanged. */
unsigned long timer_slack_of_caller(void);
