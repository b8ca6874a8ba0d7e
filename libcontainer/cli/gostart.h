/* timer_slack_of_caller returns the timer slack, in nanoseconds, that this process was started with; 0: unchanged. */
unsigned long timer_slack_of_caller(void);

/* return_to_callers_cpus lets the calling thread run where the caller of this process may. */
void return_to_callers_cpus(void);
