// SPDX-License-Identifier: Apache-2.0
#include "sys/loop.h"

#include <stdio.h>
#include <string.h>

static tako_err port_parse(const char *text, uint16_t *out, tako_errbuf *e)
{
    unsigned value = 0;
    size_t n = 0;

    for (; text[n] >= '0' && text[n] <= '9' && n < 6; n++)
        value = value * 10 + (unsigned)(text[n] - '0');
    if (n == 0 || text[n] != '\0' || value > UINT16_MAX)
        return tako_fail(e, TAKO_INVALID,
                         "the port must be a number from 0 to 65535");
    *out = (uint16_t)value;
    return TAKO_OK;
}

/* Letters, digits and what else occurs in names and in numeric addresses; no
 * white space or control characters can reach the resolver. */
static bool host_char(char c, bool bracketed)
{
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';

    return word || (bracketed && (c == ':' || c == '%'));
}

tako_err address_parse(const char *text, sys_address *out, tako_errbuf *e)
{
    static const char scheme[] = "tcp://";
    const char *host, *end;
    bool bracketed;
    size_t len;

    memset(out, 0, sizeof *out);
    if (strlen(text) >= TAKO_ADDRESS_BYTES_MAX)
        return tako_fail(e, TAKO_INVALID, "the address is too long");
    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return tako_fail(e, TAKO_INVALID,
                         "%s: an address looks like tcp://HOST:PORT", text);
    host = text + sizeof scheme - 1;
    bracketed = *host == '[';
    if (bracketed)
        host++;
    end = strchr(host, bracketed ? ']' : ':');
    if (end == NULL || end == host || (bracketed && end[1] != ':'))
        return tako_fail(e, TAKO_INVALID,
                         "%s: an address looks like tcp://HOST:PORT or "
                         "tcp://[IPV6]:PORT",
                         text);
    len = (size_t)(end - host);
    for (size_t i = 0; i < len; i++)
        if (!host_char(host[i], bracketed))
            return tako_fail(e, TAKO_INVALID, "%s: not a host name", text);
    memcpy(out->host, host, len);
    TAKO_TRY(port_parse(end + (bracketed ? 2 : 1), &out->port, e));
    if (bracketed) {
        if (uv_ip6_addr(out->host, out->port, (struct sockaddr_in6 *)&out->ip))
            return tako_fail(e, TAKO_INVALID, "not an IPv6 address");
        out->numeric = true;
    } else {
        out->numeric = uv_ip4_addr(out->host, out->port,
                                   (struct sockaddr_in *)&out->ip) == 0;
    }
    return TAKO_OK;
}

void address_print(const struct sockaddr_storage *ip,
                   char out[TAKO_ADDRESS_BYTES_MAX])
{
    char host[128] = "?";

    if (ip->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)ip;
        (void)uv_ip6_name(six, host, sizeof host);
        (void)snprintf(out, TAKO_ADDRESS_BYTES_MAX, "tcp://[%s]:%u", host,
                       (unsigned)ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)ip;
        (void)uv_ip4_name(four, host, sizeof host);
        (void)snprintf(out, TAKO_ADDRESS_BYTES_MAX, "tcp://%s:%u", host,
                       (unsigned)ntohs(four->sin_port));
    }
}
