<?php
// Sessions from the Cloakroom session service, for PHP 8.2 with curl. Copy this file; its README shows how to use it.
// Copyright (c) 2026 The Cloakroom developers. SPDX-License-Identifier: MIT OR Apache-2.0
declare(strict_types=1);

namespace Cloakroom;

/** Says why a session was not read or changed. `problem` is the service's code; the answer has `status`. */
final class Error extends \RuntimeException
{
    private const STATUS = ['gone' => 401, 'signed-out' => 401, 'cross-site' => 403, 'conflict' => 409, 'limit' => 409,
        'changed' => 409, 'too-large' => 413, 'invalid' => 500];
    public readonly int $status;

    public function __construct(public readonly string $problem, string $detail)
    {
        parent::__construct("$problem: $detail");
        $this->status = self::STATUS[$problem] ?? 503;
    }
}

/** The session of this request. It is read when it is first used, and saved before the head of the response leaves. */
final class Session
{
    private ?array $shown = null;
    private array $changes = [];
    private array $cookies = [];
    private string $cookie;
    private bool $isFinished = false;
    private ?Error $refusal = null;
    private \CurlHandle $curl;

    private function __construct(private readonly array $options)
    {
        $this->cookie = $_SERVER['HTTP_COOKIE'] ?? '';
        $this->curl = curl_init();
    }

    /** Opens the session of this request. Options: url, key, timeout (seconds), secure, trusted_origins. */
    public static function open(array $options = []): self
    {
        $session = new self($options + ['url' => 'http://127.0.0.1:8090', 'key' => null, 'timeout' => 2.0, 'secure' => true,
            'trusted_origins' => []]);
        ob_start($session->filter(...));
        header_register_callback($session->finish(...));
        $previous = set_exception_handler(null);
        set_exception_handler(function (\Throwable $error) use ($session, $previous): void {
            if ($error instanceof Error && !headers_sent()) {
                $session->refusal = $error;
            } elseif ($previous) {
                $previous($error);
            } else {
                headers_sent() || http_response_code(500);
                error_log("Uncaught $error");
            }
        });
        if (self::isCrossSite($session->options)) {
            throw new Error('cross-site', 'another site has sent this request');
        }
        return $session;
    }

    public function user(): ?string
    {
        return $this->read()['user'] ?? null;
    }

    public function id(): ?string
    {
        return $this->read()['id'] ?? null;
    }

    public function get(string $name, mixed $default = null): mixed
    {
        return (array_key_exists($name, $this->changes) ? $this->changes[$name] : $this->read()['fields'][$name] ?? null) ?? $default;
    }

    /** Changes a field when the response begins. null removes it. */
    public function set(string $name, mixed $value): void
    {
        if ($this->isFinished) {
            throw new \LogicException('the head of the response has left: call set() earlier');
        }
        $this->read();
        $this->changes[$name] = $value;
    }

    public function remove(string $name): void
    {
        $this->set($name, null);
    }

    /** Makes the changes of set() and remove() now. */
    public function commit(): void
    {
        if ($this->changes) {
            $set = array_filter($this->changes, fn ($value) => $value !== null);
            $remove = array_map(strval(...), array_keys(array_diff_key($this->changes, $set)));
            $this->patch(['set' => (object) $set, 'remove' => $remove]);
            $this->changes = [];
        }
    }

    public function reload(): void
    {
        $this->ask('GET', '?fresh=true');
    }

    /** Adds to a counter now, and returns what it is then. */
    public function increment(string $name, int $by = 1): int
    {
        $this->commit();
        $this->patch(['increment' => (object) [$name => $by]]);
        return $this->get($name);
    }

    /** Stores `$change($value)` now. If another request was faster, it begins anew with the new value. */
    public function update(string $name, callable $change): mixed
    {
        $this->commit();
        for ($attempt = 1; ; $attempt++) {
            $before = $this->get($name);
            try {
                $this->patch(['set' => (object) [$name => $change($before)], 'expect' => (object) [$name => $before]]);
                return $this->get($name);
            } catch (Error $error) {
                if ($error->problem !== 'changed' || $attempt === 20) {
                    throw $error;
                }
            }
            $this->reload();
        }
    }

    /** Signs a user in, with the options of the API. An answer that was lost is asked for once more. */
    public function signIn(string $user, array $options = []): void
    {
        $this->commit();
        $question = ['POST', '/sign-in', ['user' => $user] + $options, ['Idempotency-Key: ' . bin2hex(random_bytes(16))]];
        try {
            $this->ask(...$question);
        } catch (Error $error) {
            if (!in_array($error->problem, ['no-answer', 'unknown-outcome'], true)) {
                throw $error;
            }
            $this->ask(...$question);
        }
    }

    public function rotate(): void
    {
        $this->commit();
        $this->ask('POST', '/rotate');
    }

    public function elevate(): void
    {
        $this->commit();
        $this->ask('POST', '/elevate');
    }

    public function devices(): array
    {
        return $this->ask('GET', '/devices')['devices'];
    }

    public function signOut(): void
    {
        $this->end('DELETE', '', null, true);
    }

    public function signOutDevice(string $id): int
    {
        return $this->end('DELETE', '/devices/' . rawurlencode($id), null, $id === $this->id())['ended'];
    }

    public function signOutOthers(): int
    {
        return $this->end('POST', '/sign-out', ['scope' => 'others'], false)['ended'];
    }

    public function signOutEverywhere(): int
    {
        return $this->end('POST', '/sign-out', ['scope' => 'everywhere'], true)['ended'];
    }

    private function end(string $method, string $path, ?array $body, bool $endsThis): array
    {
        $answer = $this->ask($method, $path, $body);
        if ($endsThis) {
            [$this->shown, $this->changes] = [['state' => 'none'], []];
        }
        return $answer;
    }

    private function read(): array
    {
        if ($this->shown === null && $this->cookie !== '') {
            $this->ask('GET', '');
        }
        return $this->shown ??= ['state' => 'none'];
    }

    /** Names the session that was read: a late change must not bring back one that has ended. */
    private function patch(array $changes): void
    {
        $this->ask('PATCH', '', ['session' => $this->id()] + $changes);
    }

    private function ask(string $method, string $path, ?array $body = null, array $headers = []): array
    {
        ['url' => $url, 'key' => $key, 'timeout' => $timeout] = $this->options;
        $isSocket = str_starts_with($url, 'unix:');
        $given = ['Cookie' => $this->cookie, 'User-Agent' => $_SERVER['HTTP_USER_AGENT'] ?? '',
            'Authorization' => $key ? "Bearer $key" : '', 'Content-Type' => $body === null ? '' : 'application/json'];
        foreach (array_filter($given, fn ($value) => $value !== '') as $name => $value) {
            $headers[] = "$name: $value";
        }
        $cookies = [];
        curl_reset($this->curl);
        curl_setopt_array($this->curl, [
            CURLOPT_URL => ($isSocket ? 'http://localhost' : rtrim($url, '/')) . "/v1/session$path",
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => [...$headers, 'Expect:'],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT_MS => (int) ($timeout * 1000),
            CURLOPT_PROXY => '',
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$cookies): int {
                if (stripos($line, 'set-cookie:') === 0) {
                    $cookies[] = trim(substr($line, 11));
                }
                return strlen($line);
            },
        ] + ($isSocket ? [CURLOPT_UNIX_SOCKET_PATH => substr($url, 5)] : [])
          + ($body === null ? [] : [CURLOPT_POSTFIELDS => json_encode($body, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION)]));
        $text = curl_exec($this->curl);
        array_walk($cookies, $this->keep(...));
        $answer = $text === '' ? [] : json_decode((string) $text, true);
        if ($text === false || !is_array($answer)) {
            throw new Error('no-answer', 'the session service does not answer: ' . curl_error($this->curl));
        }
        if (curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE) >= 400) {
            throw new Error($answer['code'] ?? 'no-answer', $answer['detail'] ?? '');
        }
        $this->shown = isset($answer['state']) ? $answer : $this->shown;
        return $answer;
    }

    /** Keeps a cookie for the browser, and for the next question of this request. */
    private function keep(string $cookie): void
    {
        [$pair] = explode(';', $cookie, 2);
        [$name] = explode('=', $pair, 2);
        $pairs = array_filter(array_map(trim(...), explode(';', $this->cookie)),
            fn ($other) => $other !== '' && !str_starts_with($other, "$name="));
        if (!preg_match('/;\s*max-age=0\b/i', $cookie)) {
            $pairs[] = $pair;
        }
        $this->cookie = implode('; ', $pairs);
        $this->cookies[$name] = $cookie;
    }

    /** Saves before the head of the response leaves, and completes the head. */
    private function finish(): void
    {
        if ($this->isFinished) {
            return;
        }
        $this->isFinished = true;
        $status = http_response_code();
        try {
            if (!$this->refusal && $status < 500 && $status !== 408) {
                $this->commit();
            }
        } catch (Error $error) {
            $this->refusal = $error;
        } catch (\JsonException $error) {
            $this->refusal = new Error('invalid', $error->getMessage());
        }
        if ($this->refusal) {
            error_log((string) $this->refusal->getMessage());
            array_map(header_remove(...), ['Location', 'Content-Length', 'ETag', 'Last-Modified']);
            header('Content-Type: text/plain');
            http_response_code($this->refusal->status);
        }
        if ($this->shown) {
            header('Vary: Cookie', false);
        }
        foreach ($this->cookies as $cookie) {
            header("Set-Cookie: $cookie", false);
            header('Cache-Control: no-store');
        }
    }

    private function filter(string $output): string
    {
        if ($output !== '') {
            $this->finish();
        }
        return $this->refusal ? $this->refusal->problem : $output;
    }

    /** Judges as the library does: a request that changes something, or opens a WebSocket, must come from this site. */
    private static function isCrossSite(array $options): bool
    {
        [$origin, $site, $host, $upgrade] = array_map(fn ($name) => $_SERVER["HTTP_$name"] ?? '',
            ['ORIGIN', 'SEC_FETCH_SITE', 'HOST', 'UPGRADE']);
        $opensSocket = preg_match('#(^|,)\s*websocket\s*(,|/|$)#i', $upgrade);
        if (in_array($_SERVER['REQUEST_METHOD'], ['GET', 'HEAD', 'OPTIONS'], true) && !$opensSocket) {
            return false;
        }
        if (in_array($origin, $options['trusted_origins'], true)) {
            return false;
        }
        if ($site !== '') {
            return !in_array($site, ['same-origin', 'none'], true);
        }
        [$scheme, $port] = $options['secure'] ? ['https://', '/:443$/'] : ['http://', '/:80$/'];
        $own = $scheme . preg_replace($port, '', strtolower($host));
        return $origin !== '' && ($host === '' || preg_replace($port, '', strtolower($origin)) !== $own);
    }
}
