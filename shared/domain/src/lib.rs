//! Pure decision core of Cordon: signals in, decisions and plans out.
