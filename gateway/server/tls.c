#include "server/tls.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "base/settings.h"

static SSL_CTX *context;

static bool
fail(SSL_CTX *fresh, const char *what, const char *file)
{
	unsigned long error = ERR_get_error();

	log_line(LOG_ERROR, "could not %s \"%s\": %s", what, file,
			 error != 0 ? ERR_reason_error_string(error) : "unknown error");
	ERR_clear_error();
	SSL_CTX_free(fresh);
	return false;
}

bool
tls_load(void)
{
	SSL_CTX *fresh;

	if (settings.tls_cert_file[0] == '\0')
		return true;
	fresh = SSL_CTX_new(TLS_server_method());
	if (fresh == NULL)
		return fail(fresh, "initialize TLS for", settings.tls_cert_file);
	SSL_CTX_set_min_proto_version(fresh, TLS1_2_VERSION);
	/* an idle connection needs no buffers */
	SSL_CTX_set_mode(fresh, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
								SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(fresh, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	if (SSL_CTX_use_certificate_chain_file(fresh, settings.tls_cert_file) != 1)
		return fail(fresh, "read the certificate", settings.tls_cert_file);
	if (SSL_CTX_use_PrivateKey_file(fresh, settings.tls_key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(fresh) != 1)
		return fail(fresh, "use the key", settings.tls_key_file);
	if (settings.tls_ca_file[0] != '\0')
	{
		if (SSL_CTX_load_verify_locations(fresh, settings.tls_ca_file, NULL) != 1)
			return fail(fresh, "read the authority", settings.tls_ca_file);
		SSL_CTX_set_client_CA_list(fresh, SSL_load_client_CA_file(settings.tls_ca_file));
		SSL_CTX_set_verify(fresh, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	/* connections that have begun keep theirs */
	SSL_CTX_free(context);
	context = fresh;
	return true;
}

struct bufferevent *
tls_accept(struct event_base *base, evutil_socket_t fd)
{
	SSL *tls = context != NULL ? SSL_new(context) : NULL;
	struct bufferevent *connection;

	if (tls == NULL)
		return NULL;
	connection = bufferevent_openssl_socket_new(base, fd, tls, BUFFEREVENT_SSL_ACCEPTING,
												BEV_OPT_CLOSE_ON_FREE);
	if (connection == NULL)
	{
		SSL_free(tls);
		return NULL;
	}
	/* clients that end without a word of TLS have ended all the same: requests have their lengths
	 */
	bufferevent_openssl_set_allow_dirty_shutdown(connection, 1);
	return connection;
}
