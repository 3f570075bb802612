/* Loaded before libcrypto: of the functions of it that the native module calls, the one that is counted down to fails
 * once, and so does getentropy. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

static long left = -1;

/* From now on the call after so many others fails; none with -1. */
void fail_after(long calls)
{
    left = calls;
}

/* Whether one has failed since. */
int has_failed(void)
{
    return left < 0;
}

static void *real(const char *name)
{
    return dlsym(dlopen("libcrypto.so.3", RTLD_NOW), name);
}

static int fails(void)
{
    return left >= 0 && left-- == 0;
}

/* What fails of OpenSSL's says so in its queue. */
static int openssl_fails(void)
{
    if (!fails())
        return 0;
    void (*begin)(void) = real("ERR_new");
    void (*fill)(int, int, const char *, ...) = real("ERR_set_error");
    begin();
    fill(6, 1, NULL);
    return 1;
}

#define FAILING(type, name, parameters, arguments, failure) \
    type name parameters                                     \
    {                                                        \
        if (openssl_fails())                                 \
            return failure;                                  \
        type(*call) parameters = real(#name);                \
        return call arguments;                               \
    }

FAILING(void *, EVP_MD_CTX_new, (void), (), NULL)
FAILING(void *, EVP_CIPHER_CTX_new, (void), (), NULL)
FAILING(int, EVP_DigestInit_ex, (void *a, void *b, void *c), (a, b, c), 0)
FAILING(int, EVP_DigestUpdate, (void *a, void *b, size_t c), (a, b, c), 0)
FAILING(int, EVP_DigestFinal_ex, (void *a, void *b, void *c), (a, b, c), 0)
FAILING(int, EVP_MD_CTX_copy_ex, (void *a, void *b), (a, b), 0)
FAILING(void *, HMAC, (void *a, void *b, int c, void *d, size_t e, void *f, void *g), (a, b, c, d, e, f, g), NULL)
FAILING(int, EVP_CipherInit_ex2, (void *a, void *b, void *c, void *d, int e, void *f), (a, b, c, d, e, f), 0)
FAILING(int, EVP_CipherUpdate, (void *a, void *b, void *c, void *d, int e), (a, b, c, d, e), 0)
FAILING(int, EVP_CipherFinal_ex, (void *a, void *b, void *c), (a, b, c), 0)
FAILING(int, EVP_CIPHER_CTX_ctrl, (void *a, int b, int c, void *d), (a, b, c, d), -1)

int getentropy(void *into, size_t size)
{
    if (fails()) {
        errno = EIO;
        return -1;
    }
    int (*call)(void *, size_t) = dlsym(RTLD_NEXT, "getentropy");
    return call(into, size);
}
