/* The cryptography of small values and of signatures, a whole message for one call from Python.
 *
 * `Deriver` is the one of crypto/derivation.py and `Verifier` the one of protocol/sigv4.py, which are taken where this
 * is not built; tests/property/test_native.py compares them. OpenSSL computes, this only hands over: bytes come in as
 * buffers and go out as bytes, nothing is parsed, and no length is taken from what a buffer holds. The interpreter's
 * lock is held all the time, so that what is static has one user.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* one build does for Python 3.11 and for all later ones */
#include <Python.h>

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 64, DIGEST = 32, KEY = 32, SALT = 32, TAG = 16, NONCE = 12 };

/* Looked up once: finding one by its name costs more than using it. */
static EVP_MD *sha256;
static EVP_CIPHER *aes_256_gcm;
/* Of the one message that is worked on: there are as many objects as buckets, and these are the larger part of one. */
static EVP_MD_CTX *running;
static EVP_CIPHER_CTX *cipher;

/* What OpenSSL has to say is dropped: `ssl`, in this thread, would take it for its own. */
static void *refuse(PyObject *exception, const char *message)
{
    ERR_clear_error();
    PyErr_SetString(exception, message);
    return NULL;
}

static void *openssl_failed(void)
{
    return refuse(PyExc_RuntimeError, "OpenSSL failed");
}

/* Borrow what lies in `count` objects; all or none. False with an exception set. */
static bool borrow(PyObject *const *objects, Py_buffer *buffers, int count)
{
    for (int i = 0; i < count; i++)
        if (PyObject_GetBuffer(objects[i], &buffers[i], PyBUF_SIMPLE) < 0) {
            while (i--)
                PyBuffer_Release(&buffers[i]);
            return false;
        }
    return true;
}

static void give_back(Py_buffer *buffers, int count)
{
    while (count--)
        PyBuffer_Release(&buffers[count]);
}

static bool has_arguments(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given != wanted)
        PyErr_Format(PyExc_TypeError, "%zd arguments are needed, not %zd", wanted, given);
    return given == wanted;
}

static bool is_a(bool right, const char *message)
{
    if (!right)
        PyErr_SetString(PyExc_TypeError, message);
    return right;
}

/* ---- HMAC-SHA256 (RFC 2104): the states after both pads, copied for each message ---- */

typedef struct {
    EVP_MD_CTX *inner, *outer;
} Mac;

static void mac_free(Mac *mac)
{
    EVP_MD_CTX_free(mac->inner);
    EVP_MD_CTX_free(mac->outer);
}

/* `size` is at most BLOCK. False when OpenSSL fails. */
static bool mac_init(Mac *mac, const unsigned char *key, size_t size)
{
    unsigned char pad[BLOCK] = {0};
    mac->inner = EVP_MD_CTX_new();
    mac->outer = EVP_MD_CTX_new();
    bool done = mac->inner && mac->outer;
    memcpy(pad, key, size);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    done = done && EVP_DigestInit_ex(mac->inner, sha256, NULL) && EVP_DigestUpdate(mac->inner, pad, BLOCK);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    done = done && EVP_DigestInit_ex(mac->outer, sha256, NULL) && EVP_DigestUpdate(mac->outer, pad, BLOCK);
    OPENSSL_cleanse(pad, BLOCK);
    return done;
}

/* The message is what `running` takes in between. */
static bool mac_begin(const Mac *mac)
{
    return EVP_MD_CTX_copy_ex(running, mac->inner);
}

static bool mac_end(const Mac *mac, unsigned char digest[DIGEST])
{
    return EVP_DigestFinal_ex(running, digest, NULL) && EVP_MD_CTX_copy_ex(running, mac->outer) &&
           EVP_DigestUpdate(running, digest, DIGEST) && EVP_DigestFinal_ex(running, digest, NULL);
}

/* ---- Deriver: HKDF-SHA256 (RFC 5869) with a salt for each message, and AES-256-GCM under what it gives ---- */

typedef struct {
    PyObject_HEAD
    Mac mac; /* under the extracted key; its inner state has taken in the label */
    unsigned char nonce[NONCE];
} Deriver;

static PyObject *deriver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", "label", "nonce", NULL};
    static const unsigned char no_salt[DIGEST];
    unsigned char extracted[DIGEST];
    Py_buffer key, label, nonce = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*y*|y*:Deriver", names, &key, &label, &nonce))
        return NULL;
    Deriver *self = NULL;
    if (nonce.obj != NULL && nonce.len != NONCE)
        PyErr_Format(PyExc_ValueError, "a nonce has %d bytes", NONCE);
    else if ((self = (Deriver *)PyType_GenericAlloc(type, 0)) != NULL) {
        if (nonce.obj != NULL) /* else zeros, as memory of new objects is */
            memcpy(self->nonce, nonce.buf, NONCE);
        if (!(HMAC(sha256, no_salt, DIGEST, key.buf, (size_t)key.len, extracted, NULL) &&
              mac_init(&self->mac, extracted, DIGEST) &&
              EVP_DigestUpdate(self->mac.inner, label.buf, (size_t)label.len) &&
              EVP_DigestUpdate(self->mac.inner, "", 1))) { /* the NUL that ends it */
            Py_CLEAR(self);
            openssl_failed();
        }
        OPENSSL_cleanse(extracted, DIGEST);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&label);
    PyBuffer_Release(&nonce);
    return (PyObject *)self;
}

static void deriver_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    mac_free(&((Deriver *)self)->mac);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* RFC 5869, 2.3: T(1) = HMAC-Hash(PRK, info | 0x01), the info being label and salt. */
static bool deriver_key(const Deriver *self, const void *salt, size_t size, unsigned char key[KEY])
{
    return mac_begin(&self->mac) && EVP_DigestUpdate(running, salt, size) &&
           EVP_DigestUpdate(running, "\1", 1) && mac_end(&self->mac, key);
}

static PyObject *deriver_derive(Deriver *self, PyObject *salt)
{
    unsigned char key[KEY];
    Py_buffer in;
    if (!borrow(&salt, &in, 1))
        return NULL;
    bool done = deriver_key(self, in.buf, (size_t)in.len, key);
    give_back(&in, 1);
    PyObject *result = done ? PyBytes_FromStringAndSize((char *)key, KEY) : openssl_failed();
    OPENSSL_cleanse(key, KEY);
    return result;
}

static bool cipher_begin(const Deriver *self, const unsigned char *salt, int encrypt)
{
    unsigned char key[KEY];
    bool done = deriver_key(self, salt, SALT, key) &&
                EVP_CipherInit_ex2(cipher, NULL, key, self->nonce, encrypt, NULL);
    OPENSSL_cleanse(key, KEY);
    return done;
}

/* OpenSSL counts in int. */
static bool fits(Py_ssize_t size)
{
    if (size > INT_MAX)
        PyErr_SetString(PyExc_OverflowError, "a small value has less than 2 GiB");
    return size <= INT_MAX;
}

/* Associated data, one piece after the other. */
static bool cipher_bind(const void *piece, Py_ssize_t size)
{
    int written;
    return EVP_CipherUpdate(cipher, NULL, &written, piece, (int)size);
}

/* The end of opening: what is sealed, without its salt. The result is shown to nobody before the tag is found right. */
static PyObject *cipher_open(const unsigned char *text, Py_ssize_t size)
{
    PyObject *plain = PyBytes_FromStringAndSize(NULL, size - TAG);
    if (plain == NULL)
        return NULL;
    unsigned char *out = (unsigned char *)PyBytes_AsString(plain), tag[TAG];
    int written;
    memcpy(tag, text + size - TAG, TAG);
    if (EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG, tag) > 0 &&
        EVP_CipherUpdate(cipher, out, &written, text, (int)(size - TAG))) {
        if (EVP_CipherFinal_ex(cipher, out + size - TAG, &written) > 0)
            return plain;
        refuse(PyExc_ValueError, "sealed value does not verify");
    } else
        openssl_failed();
    Py_DECREF(plain);
    return NULL;
}

/* seal(plaintext, context): salt, ciphertext, tag */
static PyObject *deriver_seal(Deriver *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer in[2];
    if (!has_arguments(count, 2) || !borrow(arguments, in, 2))
        return NULL;
    Py_ssize_t size = in[0].len;
    PyObject *sealed = fits(size) && fits(in[1].len) ? PyBytes_FromStringAndSize(NULL, SALT + size + TAG) : NULL;
    if (sealed != NULL) {
        unsigned char *salt = (unsigned char *)PyBytes_AsString(sealed), *out = salt + SALT;
        int written;
        if (getentropy(salt, SALT) < 0) {
            Py_CLEAR(sealed);
            PyErr_SetFromErrno(PyExc_OSError);
        } else if (!(cipher_begin(self, salt, 1) && cipher_bind(in[1].buf, in[1].len) &&
                     EVP_CipherUpdate(cipher, out, &written, in[0].buf, (int)size) &&
                     EVP_CipherFinal_ex(cipher, out + size, &written) &&
                     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG, out + size) > 0)) {
            Py_CLEAR(sealed);
            openssl_failed();
        }
    }
    give_back(in, 2);
    return sealed;
}

static bool is_sealed(Py_ssize_t size)
{
    if (size < SALT + TAG)
        PyErr_SetString(PyExc_ValueError, "sealed value is too short");
    return size >= SALT + TAG;
}

/* open(sealed, context): the plaintext */
static PyObject *deriver_open(Deriver *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer in[2];
    if (!has_arguments(count, 2) || !borrow(arguments, in, 2))
        return NULL;
    PyObject *plain = NULL;
    const unsigned char *salt = in[0].buf;
    if (is_sealed(in[0].len) && fits(in[0].len) && fits(in[1].len))
        plain = cipher_begin(self, salt, 0) && cipher_bind(in[1].buf, in[1].len)
                    ? cipher_open(salt + SALT, in[0].len - SALT)
                    : openssl_failed();
    give_back(in, 2);
    return plain;
}

/* One of `open_all`: a pair of bytes. */
static PyObject *open_pair(Deriver *self, PyObject *pair, Py_ssize_t clear, const Py_buffer *context)
{
    char *name_bytes, *bytes;
    Py_ssize_t name_size, size;
    if (!is_a(PyTuple_Check(pair) && PyTuple_Size(pair) == 2, "each is to be a tuple of name and value"))
        return NULL;
    PyObject *name = PyTuple_GetItem(pair, 0), *value = PyTuple_GetItem(pair, 1);
    if (PyBytes_AsStringAndSize(name, &name_bytes, &name_size) < 0 ||
        PyBytes_AsStringAndSize(value, &bytes, &size) < 0 || !is_sealed(size - clear) || !fits(size) || !fits(name_size))
        return NULL;
    const unsigned char *salt = (unsigned char *)bytes + clear;
    return cipher_begin(self, salt, 0) && cipher_bind(context->buf, context->len) &&
                   cipher_bind(bytes, clear) && cipher_bind(name_bytes, name_size)
               ? cipher_open(salt + SALT, size - clear - SALT)
               : openssl_failed();
}

/* open_all(pairs, clear, context): a list of plaintexts */
static PyObject *deriver_open_all(Deriver *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer context;
    if (!has_arguments(count, 3))
        return NULL;
    if (!is_a(PyList_Check(arguments[0]), "pairs are to be in a list"))
        return NULL;
    Py_ssize_t pairs = PyList_Size(arguments[0]), clear = PyNumber_AsSsize_t(arguments[1], PyExc_OverflowError);
    if ((clear == -1 && PyErr_Occurred()) || !borrow(&arguments[2], &context, 1))
        return NULL;
    PyObject *opened = NULL;
    if (clear < 0 || clear > INT_MAX)
        PyErr_SetString(PyExc_ValueError, "so many bytes cannot be in clear");
    else if (fits(context.len))
        opened = PyList_New(pairs);
    for (Py_ssize_t i = 0; opened != NULL && i < pairs; i++) {
        PyObject *pair = PyList_GetItem(arguments[0], i); /* an error where the list has become shorter */
        PyObject *plain = pair == NULL ? NULL : open_pair(self, pair, clear, &context);
        if (plain == NULL || PyList_SetItem(opened, i, plain) < 0)
            Py_CLEAR(opened);
    }
    give_back(&context, 1);
    return opened;
}

static PyMethodDef deriver_methods[] = {
    {"derive", (PyCFunction)deriver_derive, METH_O, NULL},
    {"seal", (PyCFunction)(void (*)(void))deriver_seal, METH_FASTCALL, NULL},
    {"open", (PyCFunction)(void (*)(void))deriver_open, METH_FASTCALL, NULL},
    {"open_all", (PyCFunction)(void (*)(void))deriver_open_all, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot deriver_slots[] = {
    {Py_tp_new, deriver_new},
    {Py_tp_dealloc, deriver_dealloc},
    {Py_tp_methods, deriver_methods},
    {0, NULL},
};

static PyType_Spec deriver_spec = {
    "cooper_gateway.native._native.Deriver", sizeof(Deriver), 0, Py_TPFLAGS_DEFAULT, deriver_slots};

/* ---- Verifier: signatures of AWS Signature Version 4 ---- */

typedef struct {
    PyObject_HEAD
    Mac mac;
} Verifier;

static PyObject *verifier_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", NULL};
    Py_buffer key;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*:Verifier", names, &key))
        return NULL;
    Verifier *self = NULL;
    if (key.len > BLOCK)
        PyErr_Format(PyExc_ValueError, "a signing key has at most %d bytes", BLOCK);
    else if ((self = (Verifier *)PyType_GenericAlloc(type, 0)) != NULL &&
             !mac_init(&self->mac, key.buf, (size_t)key.len)) {
        Py_CLEAR(self);
        openssl_failed();
    }
    PyBuffer_Release(&key);
    return (PyObject *)self;
}

static void verifier_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    mac_free(&((Verifier *)self)->mac);
    PyObject_Free(self);
    Py_DECREF(type);
}

static void as_hex(const unsigned char digest[DIGEST], char text[2 * DIGEST])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST; i++) {
        *text++ = digits[digest[i] >> 4];
        *text++ = digits[digest[i] & 15];
    }
}

/* Whether `given` is the hex digits of what `running`, which has taken in the message, comes to. In constant time. */
static PyObject *is_signature(const Mac *mac, const Py_buffer *given)
{
    unsigned char digest[DIGEST];
    char text[2 * DIGEST];
    if (!mac_end(mac, digest))
        return openssl_failed();
    as_hex(digest, text);
    return PyBool_FromLong(given->len == sizeof text && CRYPTO_memcmp(text, given->buf, sizeof text) == 0);
}

/* holds(text, signature) */
static PyObject *verifier_holds(Verifier *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer in[2];
    if (!has_arguments(count, 2) || !borrow(arguments, in, 2))
        return NULL;
    PyObject *result = mac_begin(&self->mac) && EVP_DigestUpdate(running, in[0].buf, (size_t)in[0].len)
                           ? is_signature(&self->mac, &in[1])
                           : openssl_failed();
    give_back(in, 2);
    return result;
}

/* holds_digest(before, canonical, signature): of `before` and the hex digits of the SHA-256 of `canonical` */
static PyObject *verifier_holds_digest(Verifier *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer in[3];
    unsigned char digest[DIGEST];
    char text[2 * DIGEST];
    if (!has_arguments(count, 3) || !borrow(arguments, in, 3))
        return NULL;
    PyObject *result;
    if (EVP_DigestInit_ex(running, sha256, NULL) && EVP_DigestUpdate(running, in[1].buf, (size_t)in[1].len) &&
        EVP_DigestFinal_ex(running, digest, NULL) && mac_begin(&self->mac) &&
        EVP_DigestUpdate(running, in[0].buf, (size_t)in[0].len)) {
        as_hex(digest, text);
        result = EVP_DigestUpdate(running, text, sizeof text) ? is_signature(&self->mac, &in[2]) : openssl_failed();
    } else
        result = openssl_failed();
    give_back(in, 3);
    return result;
}

static PyMethodDef verifier_methods[] = {
    {"holds", (PyCFunction)(void (*)(void))verifier_holds, METH_FASTCALL, NULL},
    {"holds_digest", (PyCFunction)(void (*)(void))verifier_holds_digest, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot verifier_slots[] = {
    {Py_tp_new, verifier_new},
    {Py_tp_dealloc, verifier_dealloc},
    {Py_tp_methods, verifier_methods},
    {0, NULL},
};

static PyType_Spec verifier_spec = {
    "cooper_gateway.native._native.Verifier", sizeof(Verifier), 0, Py_TPFLAGS_DEFAULT, verifier_slots};

/* ---- the module ---- */

static int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int result = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return result;
}

static int fill(PyObject *module)
{
    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (aes_256_gcm == NULL)
        aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (running == NULL)
        running = EVP_MD_CTX_new();
    if (cipher == NULL)
        cipher = EVP_CIPHER_CTX_new();
    if (!(sha256 && aes_256_gcm && running && cipher && EVP_CipherInit_ex2(cipher, aes_256_gcm, NULL, NULL, 1, NULL))) {
        refuse(PyExc_ImportError, "OpenSSL has no SHA-256 or no AES-256-GCM here");
        return -1;
    }
    if (PyModule_AddStringConstant(module, "SOURCE", SOURCE) < 0) /* SHA-256 of this file, by hatch_build.py */
        return -1;
    return add_type(module, &deriver_spec) < 0 || add_type(module, &verifier_spec) < 0 ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, NULL, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
