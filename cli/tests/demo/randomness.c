/* Once the file that RANDOMNESS_ENDS names is there, the system has no random bytes for a secret, which is 32 of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
  const char *ends = getenv("RANDOMNESS_ENDS");
  if (length == 32 && ends && access(ends, F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_getrandom, buffer, length, flags);
}
